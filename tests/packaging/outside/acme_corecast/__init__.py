"""What Acme adds to Corecast: an action, a predicate, a tuner and a pack of recipes."""
