-- Written by hand, because Prisma's schema language has no CHECK constraints.

-- An appointment is for either a package or a single test.
ALTER TABLE "Appointment" ADD CONSTRAINT "Appointment_one_service"
    CHECK (num_nonnulls("packageId", "testId") = 1);

-- A subscription ends after it starts.
ALTER TABLE "Subscription" ADD CONSTRAINT "Subscription_ends_after_start" CHECK ("endsAt" > "startsAt");

-- Prices are not negative.
ALTER TABLE "Plan" ADD CONSTRAINT "Plan_price_not_negative" CHECK ("priceMinor" >= 0);
ALTER TABLE "HealthPackage" ADD CONSTRAINT "HealthPackage_price_not_negative" CHECK ("priceMinor" >= 0);
ALTER TABLE "DiagnosticTest" ADD CONSTRAINT "DiagnosticTest_price_not_negative" CHECK ("priceMinor" >= 0);
