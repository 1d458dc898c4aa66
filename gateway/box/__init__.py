"""The box as a device: what the kernel, the modem and the certificates say of it."""
