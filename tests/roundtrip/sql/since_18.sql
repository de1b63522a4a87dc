ALTER TABLE clinic.product ADD doubled numeric GENERATED ALWAYS AS (price * 2) VIRTUAL;
ALTER TABLE clinic.no_rows ADD CONSTRAINT "unchecked" NOT NULL id NOT VALID;
