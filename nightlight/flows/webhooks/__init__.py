"""Events for the platform, by the Standard Webhooks specification: signed, delivered, kept, and sent again."""
