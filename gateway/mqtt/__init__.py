"""The only room that knows paho: MQTT 5 connections behind `seams.Connect`, for edge and IOC alike."""
