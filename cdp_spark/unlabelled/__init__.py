"""Step 4 without labels: the mediator that ships, and the choice of its prior by agreement."""
