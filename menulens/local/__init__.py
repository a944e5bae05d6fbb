"""The local cloud: MiniStack with a SageMaker service that really trains, serves, transforms and labels."""
