"""What buckets do by themselves, made from the policy: a plan, an application that can be undone, drift, proof."""
