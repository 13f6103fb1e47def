"""Dead letters: look at them, and publish the records that they hold once more."""
