mod prepare;
mod write;
