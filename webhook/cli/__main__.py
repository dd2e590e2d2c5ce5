"""``python -m webhook.cli``: the command line without its console script."""

from webhook.cli import main

main()
