"""What is timed, and how: two sides in processes of their own, taking turns."""
