"""Networks: building and training them, their texts as tokens, their losses, metrics and cost."""
