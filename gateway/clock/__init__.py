"""Time: the kernel's clocks (kernel, boot), which UTC a boot millisecond was (timeline, pure), the loop between."""
