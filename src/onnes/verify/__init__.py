"""First-principles verification with Quantum ESPRESSO."""
