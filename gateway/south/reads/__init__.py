"""Which reads fetch a group, what one visit to a device brings, and what it teaches."""
