"""How good detections are: pages whose truth is known exactly, and the figures that compare detections with a truth."""
