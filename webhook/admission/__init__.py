"""The pipeline: request -> subject -> review -> decision -> commit -> response -> recorder."""
