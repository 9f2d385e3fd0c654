"""The Potential protocol and its adapters; batched relaxation; building references."""
