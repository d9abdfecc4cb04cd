"""`python -m llm_judge`: the same as the command `llm-judge`."""

from llm_judge.cli.main import main

if __name__ == "__main__":
    main()
