"""What persons tell the workers: run modes by scope, and commands about single offers."""
