"""What a person reads on the page and in the terminal, a module for each area, to be translated."""
