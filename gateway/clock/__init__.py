"""Time: the kernel's clocks (kernel, boot), which UTC a boot millisecond was (timeline, pure), the centre's (receipts, pure), the loop."""
