"""What is told about requests: logs now; metrics, objectives and alerts as they come."""
