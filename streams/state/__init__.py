"""Commands on the state in the changelog, for when it cannot be taken over as it is. All workers are stopped."""
