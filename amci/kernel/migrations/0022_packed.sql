-- Payloads of runs and documents of executions may be packed from now on (`amci.kernel.packing`), which older releases
-- cannot read. This one tells it in their stead.
SELECT unpacked(NULL);
