"""Training: one loop over a learner, which hides the framework; one result for both."""
