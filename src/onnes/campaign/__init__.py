"""The campaign folder, the ledger, shipped funnels, reports."""
