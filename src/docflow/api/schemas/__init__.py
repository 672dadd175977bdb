"""What goes over the wire. Input refuses unknown fields; output is built from services' values."""
