"""Tape reservations: other systems are kept from drives and changers that are open here."""
