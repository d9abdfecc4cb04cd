"""The vLLM engine: any number of OpenAI-compatible vLLM servers, over HTTP."""
