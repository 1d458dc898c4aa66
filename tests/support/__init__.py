"""What several tests share: servers, ports, waits. Helpers only; no tests."""
