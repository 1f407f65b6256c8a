"""`promptmill submit` beside a loader that checks nothing."""
