"""What answers prompts: the protocol, and the engines that obey it."""
