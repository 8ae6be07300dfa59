"""What `shipway up` runs on one machine: model servers, the app's services, the gateway, and who watches over them."""
