"""The local socket: a protocol, its server in the daemon, its client in CLI and page. Knows no stage: `app` answers."""
