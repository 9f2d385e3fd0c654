"""Where candidate crystals come from: substitution in parents, decorated structure types."""
