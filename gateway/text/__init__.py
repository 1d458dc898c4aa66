"""What people read, by code and language: en.toml and vi.toml."""
