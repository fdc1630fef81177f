"""Pictures in and out: reading them safely, maps, edges, skeletons, drawings, settings in PNG."""
