"""How an exchange is carried: ports, our links and pymodbus, and the guard above any of them."""
