"""Teacher-tailoring knowledge distillation (LGTM, Ren et al., ACL 2023)."""
