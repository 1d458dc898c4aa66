"""Time: the kernel's clocks (kernel, boot), which UTC a boot millisecond was (timeline, pure), the loop between.

Where no time server can be reached, the centre's receipts are the clock (receipts, pure).
"""
