"""What works beside grounding: LoRA, learned words, IP-Adapter, ControlNet, T2I-Adapter."""
