"""Web pages, REST and MCP: thin adapters over the tools."""
