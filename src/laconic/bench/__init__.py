"""Times of networks in our runtime and in others: goals, and whether they are met."""
