"""How is text from outside read? JSON and YAML, each within a budget of time and memory."""
