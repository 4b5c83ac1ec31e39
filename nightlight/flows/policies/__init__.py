"""The policy's life: approval, activation, and the policy that decides now."""
