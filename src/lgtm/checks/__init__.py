"""What would fail later, found before anything trains: settings, data and networks, and room for them."""
