"""Training, evaluation and prediction: the parts at work together."""
