"""HTTP only: the admission lane, the operations port, the listener. What an answer says is decided below."""
