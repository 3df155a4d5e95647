"""Step 4, scored pairs: by the vote of a committee, or by a mediator."""
